output "region" {
  description = "Region in which SkyPilot starts machines."
  value       = var.region
}
