"""What the tests stand on: real servers, private homes, and readers of documents. No test lives here."""
