"""Model servers, recorded answers, token counting and structured replies. app/ builds what is here; nodes see ports."""
