"""What tests stand on: real servers, throw-away databases, a service in this process or as a program."""
