"""What holds for the code as a whole: a forgotten row, a file that grew, an import that points outwards."""
