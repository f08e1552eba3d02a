"""Tests of the gRPC server: real sockets, real clients."""
