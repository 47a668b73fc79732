"""Model servers, recorded answers, token counting and structured replies. Built by app/."""
