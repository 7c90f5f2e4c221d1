"""Make a call once all its arguments are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future


class DelayedCall:
    """A call that is made later, once.

    Parameters
    ----------
    fun
        the function to call
    kwargs
        the first arguments
    """

    def __init__(self, fun: Callable[..., Any], kwargs: dict[str, Any]) -> None:
        self.fun = fun
        self.kwargs = dict(kwargs)
        self._called = False
        self._result: Any = None
        self._error: Exception | None = None
        self._futures: list[Future[Any]] = []

    def add_arguments(self, **kwargs: Any) -> None:
        """Add arguments, or replace those of the same name.

        Raises
        ------
        RuntimeError
            the call was already made and cannot take more arguments
        """
        if self._called:
            raise RuntimeError(
                f"{self!r} cannot take {', '.join(kwargs) or 'more arguments'}: it was already made"
            )
        self.kwargs.update(kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the call with all arguments; those given here take precedence.

        Returns
        -------
        Any
            the result of the function; later calls return the same result, or raise the same
            error, and ignore their arguments
        """
        if not self._called:
            self.add_arguments(**kwargs)
            try:
                self._result = self.fun(*args, **self.kwargs)
            except Exception as error:
                self._error = error
                self._settle()
                raise
            self._settle()
        elif self._error is not None:
            raise self._error
        return self._result

    def get_future(self) -> Future[Any]:
        """Return a future for the result; waiting for it does not make the call."""
        from concurrent.futures import Future

        future: Future[Any] = Future()
        self._futures.append(future)
        if self._called:
            self._settle()
        return future

    def _settle(self) -> None:
        self._called = True
        while self._futures:
            future = self._futures.pop()
            # False if the holder of the future cancelled it.
            if not future.set_running_or_notify_cancel():
                continue
            if self._error is not None:
                future.set_exception(self._error)
            else:
                future.set_result(self._result)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self.fun, '__name__', self.fun)}, {self.kwargs})"


def delay_call(fun: Callable[..., Any], **kwargs: Any) -> DelayedCall:
    """Return a call of ``fun`` with these arguments that is made later."""
    return DelayedCall(fun, kwargs)


def is_delayed_call(x: object) -> bool:
    """Return whether ``x`` is a delayed call."""
    return isinstance(x, DelayedCall)
