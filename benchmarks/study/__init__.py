"""The paper's own study, repeated with networks of ours."""
