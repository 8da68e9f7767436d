"""The Double-11 case: six hours of one live room, played fast, with a person at the desk who answers warnings.

500 units at `main`, 200 more at `near`, which serves no shop until somebody moves them. Sales are steady for two hours;
then a guest streamer comes, and everything is gone in the fifth hour. What warnings were worth is said in the end,
beside a fixed line of 50.
"""
