"""What commands call, where models may be given as paths: thin functions over the packages below."""
