"""`python -m app.cli`; `bin/saoma` is the short way."""

from app.cli.main import run

if __name__ == "__main__":
    run()
