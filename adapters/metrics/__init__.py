"""What monitoring systems load: a Grafana dashboard and alert rules for Prometheus."""
