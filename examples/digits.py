"""Train a small neural network on handwritten digits, and let Track keep the record.

Run it with ``make demo``, or with the package and scikit-learn installed::

    python examples/digits.py --epochs 10 --lr 0.05

It writes two files into the current folder. ``digits.json.journal`` is the record itself: every
``log_...`` call below appends to it, so nothing is lost when the program dies half-way.
``digits.json`` is a report made from that record, for people and other programs to read.

Run it again with the same arguments and you get revision 1 of the same trial, beside revision 0.
Run it with other arguments and you get another trial.
"""

from argparse import ArgumentParser

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from track import TrackClient

parser = ArgumentParser(description="Train a small neural network on handwritten digits.")
parser.add_argument("--epochs", type=int, default=5, help="passes over the training set")
parser.add_argument("--batch-size", type=int, default=128, help="images per training step")
parser.add_argument("--lr", type=float, default=0.2, help="learning rate")
parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same result")
parser.add_argument("--backend", default="file:digits.json", help="where Track keeps the record")

# A client records one trial at a time. Its backend says where to: a file here, and the same program
# can log to any other place by a change of this one string.
client = TrackClient(parser.parse_args().backend)

# A project holds all trials on one subject. A group puts some of them together, such as those
# that try the same idea; a trial can be in several groups.
client.set_project(name="digits", description="Tell handwritten digits apart")
client.set_group(name="one-hidden-layer", description="How far does one hidden layer go?")

# The version is the hash of this file, so results of changed code are never mixed up.
client.set_version()

# A trial is one training run. Track tells trials apart by project, version and arguments, so this
# one is not complete before the next call.
trial = client.new_trial(name="mlp", description="Mini-batch SGD with momentum")

# Parse the command line, record every argument, and print them. Instead of a parser this takes
# the parsed arguments, a dictionary, or keywords as well.
args = client.get_arguments(parser, show=True)

# Tags are for finding trials again, metadata is for whatever else is worth keeping.
client.add_tags(model="mlp", optimizer="sgd")
trial.log_metadata(scikit_learn=sklearn.__version__, numpy=np.__version__)

# Keep a copy of this file too: the version tells whether code changed, the copy tells how.
trial.log_code()

# 1,797 images of 8 by 8 pixels, with values from 0 to 16. A fifth of them is for choosing between
# trials, and another fifth for the final grade.
images, labels = load_digits(return_X_y=True)
images = images / 16
images, test_images, labels, test_labels = train_test_split(
    images, labels, test_size=0.2, stratify=labels, random_state=args.seed
)
images, valid_images, labels, valid_labels = train_test_split(
    images, labels, test_size=0.25, stratify=labels, random_state=args.seed
)

model = MLPClassifier(
    hidden_layer_sizes=(64,), solver="sgd", learning_rate_init=args.lr, random_state=args.seed
)
classes = np.unique(labels)
shuffler = np.random.default_rng(args.seed)
batch_starts = range(0, len(images), args.batch_size)

# Tell how much there is to do, outermost loop first, to get an estimate of the time left.
trial.set_eta_total((args.epochs, len(batch_starts)))

step = 0

# Inside this block the trial is running. Afterwards it is completed; or, if an exception leaves
# the block, the trial keeps the error, and the exception goes on its way.
with trial:
    for epoch in range(args.epochs):
        # A chrono measures its block. Chronos nest, and each keeps mean, deviation, minimum,
        # maximum and count, not every single time.
        with trial.chrono("epoch"):
            order = shuffler.permutation(len(images))

            for batch, start in enumerate(batch_starts):
                with trial.chrono("batch") as batch_time:
                    chosen = order[start : start + args.batch_size]
                    model.partial_fit(images[chosen], labels[chosen], classes=classes)

                # A metric with a step is a curve. Any number can be a step.
                trial.log_metrics(step=step, loss=model.loss_)
                step += 1

                # A line with the time left, but only every so many calls.
                trial.show_eta((epoch, batch), batch_time, throttle=len(batch_starts))

        trial.log_metrics(step=epoch, valid_accuracy=model.score(valid_images, valid_labels))

    # A metric without a step is a result.
    trial.log_metrics(test_accuracy=model.score(test_images, test_labels))

# Print the trial as it is on record, and write the report file.
client.report()
client.save()
