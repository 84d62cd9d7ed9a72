# Arguments of the current provider that older ones don't know.

resource "aws_ecr_repository" "this" {
  force_delete = var.delete_data
}
