package fleetsim_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// kind is what a request is about.
type kind string

// The kinds of requests, as the table lists them.
const (
	refs        kind = "git: the list of refs"
	commits     kind = "git: commits and folders"
	files       kind = "git: this node's files"
	statuses    kind = "commit statuses"
	deployments kind = "deployments"
	merges      kind = "merge requests"
	tokenChecks kind = "tokens"
)

func kinds() []kind {
	return []kind{refs, commits, files, statuses, deployments, merges, tokenChecks}
}

// kindOf gives the kind of a request to the API.
func kindOf(path string) kind {
	switch {
	case strings.Contains(path, "/statuses"):
		return statuses
	case strings.Contains(path, "/deployments"), strings.Contains(path, "/environments"):
		return deployments
	case strings.Contains(path, "/merge_requests"):
		return merges
	}
	return tokenChecks
}

// cost is what requests come to.
type cost struct{ requests, bytes int }

func (c cost) plus(other cost) cost { return cost{c.requests + other.requests, c.bytes + other.bytes} }

// counts are the requests of all agents since reset.
type counts struct {
	mu      sync.Mutex
	began   time.Time
	seconds []int // requests in each second
	by      map[kind]cost
	others  map[kind]cost // of the nodes that the last commit does not concern
	nodes   map[int]int   // requests to the API, by node

	concerned func(node int) bool // by the last commit
}

func (c *counts) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began, c.seconds, c.by, c.others, c.nodes = time.Now(), nil, map[kind]cost{}, map[kind]cost{}, map[int]int{}
}

// add counts an exchange of a node.
func (c *counts) add(node int, of kind, what cost) {
	c.mu.Lock()
	defer c.mu.Unlock()
	second := int(time.Since(c.began) / time.Second)
	for len(c.seconds) <= second {
		c.seconds = append(c.seconds, 0)
	}
	c.seconds[second] += what.requests
	c.by[of] = c.by[of].plus(what)
	if c.concerned != nil && !c.concerned(node) {
		c.others[of] = c.others[of].plus(what)
	}
	if of != refs && of != commits && of != files {
		c.nodes[node] += what.requests
	}
}

// peak gives the most requests in one second.
func (c *counts) peak() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seconds) == 0 {
		return 0
	}
	return slices.Max(c.seconds)
}

// size gives bytes with a unit.
func size(bytes float64) string {
	switch {
	case bytes >= 1e6:
		return fmt.Sprintf("%.1f MB", bytes/1e6)
	case bytes >= 1e3:
		return fmt.Sprintf("%.1f kB", bytes/1e3)
	}
	return fmt.Sprintf("%.0f B", bytes)
}
