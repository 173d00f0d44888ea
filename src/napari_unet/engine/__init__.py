"""The child process that runs jobs, and the lines it speaks."""
