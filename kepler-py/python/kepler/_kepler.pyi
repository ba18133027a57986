__all__ = ["_raise", "version"]

def _raise(kind: str) -> None:
    """
    Raises an error of one kind: lets the tests see the mapping of kinds that no machine shows at will.
    """

def version() -> str:
    """
    The version of the package, the same as that of the Rust crates and the npm package.
    """
