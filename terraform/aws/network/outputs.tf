output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "vpc_cidr" {
  description = "IPv4 network of the VPC."
  value       = aws_vpc.this.cidr_block
}

# Whoever uses the subnets needs the way out that their route tables give.
output "private_subnet_ids" {
  description = "Ids of the private subnets, one in each zone; for nodes."
  value       = [for zone in local.zones : aws_subnet.private[zone].id]

  depends_on = [aws_route_table_association.private]
}

output "public_subnet_ids" {
  description = "Ids of the public subnets, one in each zone; for load balancers."
  value       = [for zone in local.zones : aws_subnet.public[zone].id]

  depends_on = [aws_route_table_association.public]
}

output "availability_zones" {
  description = "Names of the availability zones."
  value       = local.zones
}

output "nat_public_ips" {
  description = "Public addresses from which the private subnets reach the internet."
  value       = [for zone in local.nat_zones : aws_eip.nat[zone].public_ip]
}
