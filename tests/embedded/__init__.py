"""The lifecycle of the embedded servers, one test for each way it can go."""
