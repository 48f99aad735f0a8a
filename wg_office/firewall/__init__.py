"""The firewall of a host as text, one module per backend; all of them render the same policy (wg_office.access.FirewallPolicy)."""
