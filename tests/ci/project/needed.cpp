int needed() { return 1; }
