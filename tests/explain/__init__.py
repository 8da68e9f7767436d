"""Why a number is what it is: the cause that is named is the cause there is."""
