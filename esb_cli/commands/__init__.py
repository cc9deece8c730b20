"""One module per command; `esb_cli.app` lists them."""
