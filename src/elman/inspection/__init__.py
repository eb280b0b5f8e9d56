"""Looking inside a recurrent network: its states and gates, what a unit attends to, how far back a gradient reaches."""
