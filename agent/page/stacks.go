package page

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/agent/events"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/report"
)

// choice is a stack in the list of those of a node that has several.
type choice struct {
	Key           record.StackKey
	Tone, Verdict string
}

const mostStacks = 50

// choose notes which stack a request is about: the one that it names, else the first. A node
// with one stack has no list, and no link of its pages names the stack.
func (p *Pages) choose(r *http.Request, at *frame) {
	at.Stack = record.StackKey(r.URL.Query().Get(stackParameter))
	if p.Stacks == nil {
		return
	}
	keys := p.Stacks()
	if len(keys) < 2 {
		return
	}
	if at.Stack == "" {
		at.Stack = keys[0]
	}
	for _, key := range keys[:min(len(keys), mostStacks)] {
		if desk, err := p.API.Desk(key); err == nil {
			status := desk.Status()
			word, sync := report.Verdict(&status)
			at.Stacks = append(at.Stacks, choice{key, report.StateOf(&status).String(), say(joined(word, sync), shortText)})
		}
	}
}

// stackParameter is the parameter of an address that names the stack.
const stackParameter = "stack"

// desk gives the desk of the stack that a page is about.
func (p *Pages) desk(at frame) (control.Desk, error) { return p.API.Desk(at.Stack) }

// owner gives the stack that a sync is of, where the node has several.
func (p *Pages) owner(at frame, sync *record.Sync) record.StackKey {
	for _, one := range at.Stacks {
		if desk, err := p.API.Desk(one.Key); err == nil && desk.Status().Stack == sync.Stack {
			return one.Key
		}
	}
	return at.Stack
}

// to gives the address of a page about the same stack. with has names and values of
// parameters; those without a value are left out.
func (f frame) to(path string, with ...string) templ.SafeURL {
	values := url.Values{}
	if f.Stack != "" {
		values.Set(stackParameter, string(f.Stack))
	}
	for i := 0; i+1 < len(with); i += 2 {
		if with[i+1] != "" {
			values.Set(with[i], with[i+1])
		}
	}
	if len(values) == 0 {
		return templ.SafeURL(path)
	}
	return templ.SafeURL(path + "?" + values.Encode())
}

// of gives the address of the same page about another stack.
func (f frame) of(stack record.StackKey) templ.SafeURL {
	f.Stack = stack
	return f.to(f.Nav)
}

// lastOf gives the last events about the stack, or about the whole node, the newest first.
func (f frame) lastOf(all []events.Event, most int) []events.Event {
	var list []events.Event
	for _, one := range slices.Backward(all) {
		if len(list) < most && (one.Stack == "" || f.Stack == "" || one.Stack == string(f.Stack)) {
			list = append(list, one)
		}
	}
	return list
}
