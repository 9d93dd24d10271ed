"""What a command under attack has written so far."""


def lines_of(log):
    try:
        with open(log, encoding="ascii") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []
