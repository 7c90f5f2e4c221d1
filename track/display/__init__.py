"""What people see of trials: tables that fit, in a terminal or a notebook."""
