"""The dock that puts a result beside what it was made from."""
