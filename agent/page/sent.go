package page

import (
	"sync"
	"time"
)

// sent are the forms that were sent, by their marks: each acts once, however often a browser
// sends it. The agent forgets them when it ends; what a form is about holds it back then.
type sent struct {
	mu    sync.Mutex
	list  map[string]*result
	order []string // the oldest first
}

// result is what a form did.
type result struct {
	at   time.Time
	text string // "" while it is being done
}

const (
	mostSent  = 1000
	shownFor  = 5 * time.Minute // how long a result is shown
	shortMark = 16              // characters of the shortest mark
	longMark  = 64
)

// begin notes that a form is sent, and reports whether that is the first time.
func (s *sent) begin(mark string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list[mark] != nil {
		return false
	}
	if s.list == nil {
		s.list = map[string]*result{}
	}
	if len(s.order) == mostSent {
		delete(s.list, s.order[0])
		s.order = s.order[1:]
	}
	s.list[mark], s.order = &result{at: time.Now()}, append(s.order, mark)
	return true
}

// end notes what a form did.
func (s *sent) end(mark, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.list[mark]; one != nil {
		one.text = text
	}
}

// text gives what a form did, when it is recent; "" for none.
func (s *sent) text(mark string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch one := s.list[mark]; {
	case one == nil || time.Since(one.at) > shownFor:
		return ""
	case one.text == "":
		return "What you asked for is being done."
	default:
		return one.at.UTC().Format("15:04:05 UTC") + ": " + one.text
	}
}
