"""The networks. Needs torch; knows no data set and no optimizer."""
