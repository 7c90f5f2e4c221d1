"""Read and write TensorBoard's event files: records of a length, a message and checksums.

Messages and checksums come from tensorboardX (the extra ``tensorboard``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from struct import Struct, unpack
from typing import Any, NamedTuple

from track.exchange.optional import load
from track.utils.files import fresh_path

EXTRA = "tensorboard"
EVENT_FILE = "events.out.tfevents"
"""The text that the names of TensorBoard's files contain."""

HPARAMS = "hparams"
"""The plugin that stores the parameters of a run."""

_HEAD, _CHECKSUM = Struct("<QI"), Struct("<I")
_LENGTH = Struct("<Q")

_NUMBERS = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 10: "<?", 19: "<e", 22: "<I", 23: "<Q"}
"""The format of one number in the bytes of a tensor, by type."""

_NUMBER_FIELDS = ("float_val", "double_val", "int_val", "int64_val", "bool_val")


class Scalar(NamedTuple):
    """One point of a curve. ``wall_time`` is in seconds since 1970-01-01."""

    tag: str
    step: int
    wall_time: float
    value: float


# Writing


class Writing:
    """Encodes the records of an event file, each of which can be appended to one."""

    def __init__(self) -> None:
        load("tensorboardX", EXTRA)
        self._protos = load("tensorboardX.proto.event_pb2", EXTRA)
        self._summaries = load("tensorboardX.proto.summary_pb2", EXTRA)
        self._checksum = load("tensorboardX.record_writer", EXTRA).masked_crc32c

    def head(self, wall_time: float = 0.0) -> bytes:
        """Return the record that a file begins with."""
        return self._record(self._protos.Event(wall_time=wall_time, file_version="brain.Event:2"))

    def scalar(self, scalar: Scalar) -> bytes:
        """Return the record of a point of a curve."""
        value = self._summaries.Summary.Value(tag=scalar.tag, simple_value=scalar.value)
        summary = self._summaries.Summary(value=[value])
        return self.summary(summary, scalar.step, scalar.wall_time)

    def summary(self, summary: Any, step: int, wall_time: float) -> bytes:
        """Return the record of a summary."""
        return self._record(self._protos.Event(wall_time=wall_time, step=step, summary=summary))

    def hparams(self, parameters: dict[str, Any], wall_time: float) -> bytes:
        """Return the records of the parameters of a run."""
        made = load("tensorboardX.summary", EXTRA).hparams(parameters, {})
        return b"".join(self.summary(summary, 0, wall_time) for summary in made)

    def _record(self, event: Any) -> bytes:
        message: bytes = event.SerializeToString()
        length = _LENGTH.pack(len(message))
        head = _HEAD.pack(len(message), self._checksum(length))
        return head + message + _CHECKSUM.pack(self._checksum(message))


def write_event_file(path: str, records: Iterable[bytes]) -> None:
    """Write a run, replacing an existing file."""
    with fresh_path(os.path.join(os.path.dirname(path), "track")) as fresh:  # not an event file
        with open(fresh, "xb") as file:
            file.writelines(records)
        os.replace(fresh, path)


# Reading


def read_events(path: str, tell: Callable[[str], None]) -> Iterator[tuple[int, Any]]:
    """Yield the offset and the message of each record of a file, up to the first damaged one.

    Records after damage cannot be found, because nothing marks where a record begins.

    Parameters
    ----------
    path
        the file
    tell
        called with a sentence about anything that cannot be read
    """
    event = load("tensorboardX.proto.event_pb2", EXTRA).Event
    decode_error = load("google.protobuf.message", EXTRA).DecodeError
    at = 0
    try:
        with open(path, "rb") as file:
            for at, message in _records(file):
                yield at, event.FromString(message)
    except decode_error:
        tell(f"{path} is damaged: only {at} bytes were read")
    except _EndOfSense as end:
        tell(f"{path} {end}")
    except OSError as error:
        tell(f"cannot read {path}: {error.strerror}")


class _EndOfSense(Exception):
    """The rest of the file cannot be read; the message says why and where it begins."""

    def __init__(self, why: str, start: int) -> None:
        super().__init__(f"is {why}: only {start} bytes were read")


def _records(file: Any) -> Iterator[tuple[int, bytes]]:
    checksum = load("tensorboardX.record_writer", EXTRA).masked_crc32c
    size = os.fstat(file.fileno()).st_size
    start = 0
    while head := file.read(_HEAD.size):
        length = 0
        if len(head) == _HEAD.size:
            length, sum_of_length = _HEAD.unpack(head)
            if checksum(_LENGTH.pack(length)) != sum_of_length:
                raise _EndOfSense("damaged", start)
        end = start + _HEAD.size + length + _CHECKSUM.size
        if len(head) < _HEAD.size or end > size:
            raise _EndOfSense("incomplete or still being written", start)
        message = file.read(length)
        if _CHECKSUM.unpack(file.read(_CHECKSUM.size))[0] != checksum(message):
            raise _EndOfSense("damaged", start)
        yield start, message
        start = end


def number_of(value: Any) -> float | None:
    """Return the number in a summary's value, None if it is not a scalar."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or value.tensor.tensor_shape.dim:
        return None
    tensor = value.tensor
    shape = _NUMBERS.get(tensor.dtype)
    if shape is not None and len(tensor.tensor_content) == Struct(shape).size:
        return float(unpack(shape, tensor.tensor_content)[0])
    for name in _NUMBER_FIELDS:
        if numbers := getattr(tensor, name):
            return float(numbers[0])
    return None


def parameters_of(value: Any) -> dict[str, Any] | None:
    """Return the parameters of a run, None if a value holds something else.

    TensorBoard stores numbers as floats: whole ones become integers again.
    """
    plugin = value.metadata.plugin_data
    if plugin.plugin_name != HPARAMS:
        return None
    data = load("tensorboardX.proto.plugin_hparams_pb2", EXTRA).HParamsPluginData
    found = data.FromString(plugin.content).session_start_info.hparams
    return {name: _parameter(found[name]) for name in sorted(found)}


def _parameter(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = float(value.number_value)
        return int(number) if number.is_integer() else number
    return getattr(value, kind) if kind in ("string_value", "bool_value") else None
