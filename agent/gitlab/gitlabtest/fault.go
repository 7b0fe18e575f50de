package gitlabtest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault is a failure of later requests. Each matching request uses the first matching fault.
type Fault struct {
	Method string // of matching requests; empty means any
	Path   string // part of the path of matching requests; empty means any
	Times  int    // number of requests that fail; 0 means one, -1 all

	// Status answers with this code and GitLab's body for it, without an effect. Body
	// replaces that body.
	Status     int
	Body       string
	RetryAfter time.Duration // of 429 and 503
	Location   string        // of a redirect

	Hang bool          // no answer, until the client ends the request
	Cut  bool          // the connection ends before the request has an effect
	Late time.Duration // the request takes effect that much later, also when its client has gone
	Lost bool          // the request takes effect, and the answer is lost; with Hang, the connection stays open
}

// Inject adds a fault.
func (s *Server) Inject(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fault.Times == 0 {
		fault.Times = 1
	}
	s.faults = append(s.faults, &fault)
}

// Heal removes all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *Server) nextFault(method, path string) *Fault {
	for i, fault := range s.faults {
		if (fault.Method != "" && fault.Method != method) || !strings.Contains(path, fault.Path) {
			continue
		}
		if fault.Times > 0 {
			fault.Times--
		}
		if fault.Times == 0 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		}
		return fault
	}
	return nil
}

// stops applies the part of the fault before the request takes effect.
func (f *Fault) stops(w http.ResponseWriter, r *http.Request, s *Server, request *Request) bool {
	switch {
	case f == nil || f.Lost:
		return false
	case f.Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.Late > 0:
		<-time.After(f.Late)
		return false
	case f.Status == 0:
		return false
	}
	s.write(w, request, f.answer())
	return true
}

// afterwards applies the part of the fault after the request took effect.
func (f *Fault) afterwards(r *http.Request) {
	if f == nil || !f.Lost {
		return
	}
	if f.Hang {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

func (f *Fault) answer() answer {
	header := http.Header{}
	if f.Location != "" {
		header.Set("Location", f.Location)
	}
	if f.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	reply := refuse(f.Status, strconv.Itoa(f.Status)+" "+http.StatusText(f.Status))
	switch f.Status {
	case http.StatusConflict:
		reply = refuse(f.Status, "Another update to this commit status is in progress")
	case http.StatusTooManyRequests:
		reset := time.Now().Add(f.RetryAfter)
		header.Set("RateLimit-Limit", "600")
		header.Set("RateLimit-Name", "throttle_authenticated_api")
		header.Set("RateLimit-Observed", "601")
		header.Set("RateLimit-Remaining", "0")
		header.Set("RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
		reply = answer{code: f.Status, body: "Retry later\n"}
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		reply = answer{code: f.Status, body: "<html><body><h1>GitLab is not responding</h1></body></html>\n"}
	}
	if f.Body != "" {
		reply.body = f.Body
	}
	reply.header = header
	return reply
}
