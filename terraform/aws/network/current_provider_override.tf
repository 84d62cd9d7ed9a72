# Arguments of the current provider that older ones don't know.

resource "aws_eip" "nat" {
  domain = "vpc"
}
