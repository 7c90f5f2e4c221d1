"""Log an estimator and a search of scikit-learn: ``pip install scikit-learn``."""

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier

from track.integrations.sklearn import log_estimator, log_search

images, labels = load_digits(return_X_y=True)
images = images / 16

model = MLPClassifier((16,), learning_rate_init=0.01, random_state=0).fit(
    images[:1000], labels[:1000]
)
log_estimator("file:report.json", model, images[1000:], labels[1000:], project="examples")

search = GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.01, 0.1]}, cv=3)
search.fit(images[:300], labels[:300])
log_search("file:report.json", search, project="examples", group="regularisation")
