package page

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/fleet"
	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
)

// Nodes lists the nodes of the environment, those in trouble first.
type Nodes interface {
	Read(ctx context.Context) ([]fleet.Member, error)
}

// member is a row of the nodes.
type member struct {
	Name, Verdict, Tone, Health, Commit, Release, Text, Error string
	Since                                                     time.Time
	Own                                                       bool // it is the node of this page
	Asked                                                     bool // its own agent has answered
}

// nodes remembers the nodes as they were read. Nothing is read while no user looks.
type nodes struct {
	mu      sync.Mutex
	begun   time.Time     // the last reading
	reading chan struct{} // closed when it has ended; nil before the first one
	at      time.Time     // of what was read; zero for nothing
	members []fleet.Member
	err     error // of the last reading
}

const (
	readEvery  = 30 * time.Second // at most
	readTime   = time.Minute
	readWait   = 8 * time.Second // how long a page waits for the first reading
	againWait  = 2 * time.Second // how long for one after it: then the page shows what was read before
	mostNodes  = 300
	nodeMarkup = 900
)

// look gives the nodes, and when they were read. It begins a reading if the last one is old, and
// waits for it for a while.
func (n *nodes) look(ctx context.Context, from Nodes) ([]fleet.Member, time.Time, error) {
	n.mu.Lock()
	if time.Since(n.begun) >= readEvery && !n.busy() {
		n.begun, n.reading = time.Now(), make(chan struct{})
		go n.read(context.WithoutCancel(ctx), from, n.reading)
	}
	reading, wait := n.reading, readWait
	if !n.at.IsZero() {
		wait = againWait
	}
	n.mu.Unlock()
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-reading:
	case <-late.C:
	case <-ctx.Done():
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.members, n.at, n.err
}

// busy reports whether a reading runs.
func (n *nodes) busy() bool {
	if n.reading == nil {
		return false
	}
	select {
	case <-n.reading:
		return false
	default:
		return true
	}
}

// read reads the nodes. An error leaves those that were read before.
func (n *nodes) read(ctx context.Context, from Nodes, done chan<- struct{}) {
	defer close(done)
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	members, err := from.Read(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err = err; err == nil {
		n.members, n.at = members, time.Now()
	}
}

// fleet shows the nodes of the environment.
func (p *Pages) fleet(r *http.Request, at frame) (templ.Component, error) {
	if p.Fleet == nil {
		return nil, request.Refuse(request.NotFound, "set gitlab_url, gitlab_project and gitlab_token_file in agent.yml", "the agent does not report to GitLab, from which it would read what the other nodes do")
	}
	members, read, err := p.nodes.look(r.Context(), p.Fleet)
	var wrong []trouble
	if err != nil {
		wrong = append(wrong, trouble{say("The nodes cannot be read: "+err.Error(), longText), pieces(fault.Hint(err))})
	}
	var list []member
	for _, one := range members[:min(len(members), mostNodes)] {
		next := p.memberOf(one)
		if *at.room -= nodeMarkup; !at.room.has(next.Name, next.Verdict, next.Text, next.Error) {
			break
		}
		list = append(list, next)
	}
	at.Title, at.Nav = "Fleet", "/fleet"
	return fleetPage(at, say(p.API.Node.Environment, shortText), list, read, wrong, len(members)-len(list)), nil
}

func (p *Pages) memberOf(m fleet.Member) member {
	one := member{
		Name: say(m.Name, shortText), Verdict: say(m.Verdict, midText), Health: say(string(m.Health), shortText), Commit: say(record.Short(m.Commit), shortText),
		Release: say(m.Release, shortText), Text: say(m.Line(), midText), Error: say(m.Error, midText), Since: m.Since, Own: m.Name == p.API.Node.Name, Asked: m.Source == "api", Tone: "attention",
	}
	switch {
	case m.State == fleet.Failed || m.Error != "" || m.Health != "" && m.Health != health.Healthy:
		one.Tone = "alarm"
	case m.State == fleet.Done:
		one.Tone = "well"
	}
	return one
}

// alsoAsked says how many other agents have answered themselves.
func alsoAsked(list []member) string {
	n := 0
	for _, one := range list {
		if one.Asked && !one.Own {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return " and from " + plural.Count(n, "agent")
}
