output "vpc_id" {
  description = "ID of the VPC."
  value       = aws_vpc.this.id
}

output "application_subnet_ids" {
  description = "IDs of the subnets that the application runs in, one for each availability zone."
  # Whoever uses them has the way out that their first download needs.
  value      = [for subnet in var.nat_gateway ? aws_subnet.private : aws_subnet.public : subnet.id]
  depends_on = [aws_route.internet, aws_route.nat, aws_route_table_association.public, aws_route_table_association.private]
}

output "public_addresses" {
  description = "Whether the application needs public addresses to reach anything outside of the VPC."
  value       = !var.nat_gateway
}

output "load_balancer_arn" {
  description = "ARN of the load balancer."
  value       = aws_lb.this.arn
}

output "load_balancer_arn_suffix" {
  description = "What CloudWatch's dimension LoadBalancer holds."
  value       = aws_lb.this.arn_suffix
}

output "load_balancer_security_group_id" {
  description = "ID of the load balancer's security group, the only one that targets need to let in."
  value       = aws_security_group.load_balancer.id
}

output "listener_arn" {
  description = "ARN of the listener that services add their rules to."
  value       = local.listener.arn
}

output "url" {
  description = "Where the load balancer answers. With a certificate, its name must point here for clients to accept it."
  value       = "${lower(local.listener.protocol)}://${aws_lb.this.dns_name}"
}
