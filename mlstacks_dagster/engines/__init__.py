"""Every child process: the runner, Terraform, and how tools reach the cloud."""
