package record

// Short gives the first ten digits of a commit, as people are shown it.
func Short(commit string) string { return commit[:min(len(commit), 10)] }
