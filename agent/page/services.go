package page

import (
	"strconv"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/report"
)

const (
	pageServices = 100 // on one page
	servicesRoom = room(140_000)
)

// services is a page of the services, those with trouble first.
type services struct {
	List     []service
	All      int
	From     int // the first one, counted from 1
	To       int
	Back, On templ.SafeURL // the links to the pages before and after
	Seen     time.Time     // when the agent looked at them last
	Unseen   bool          // that is too long ago for a verdict
}

// service is a row of the services.
type service struct {
	Name, Image, Tasks, State, Tone, Error string
	Restarts                               int       // within the window of health
	Since                                  time.Time // when its state began, as far as that is known
}

// allServices gives a row for each service, and for what has drifted and is none.
func allServices(s *report.Status, unseen bool) []service {
	lines := report.ServiceLines(s)
	all := make([]service, len(lines))
	for i, line := range lines {
		all[i] = service{
			Name: say(line.Name, shortText), Image: say(line.Image, shortText), Tasks: line.Tasks, State: say(line.Word, midText), Tone: line.Tone.String(),
			Error: say(line.Error, midText), Restarts: line.Restarts, Since: line.Since,
		}
		if unseen {
			all[i].Tone, all[i].State = "quiet", "last seen "+all[i].State
		}
	}
	return all
}

func servicesOf(s *report.Status, at frame, from int) services {
	unseen := s.Unknown != nil && !s.Unknown.Working
	all := allServices(s, unseen)
	if from < 0 || from >= len(all) {
		from = 0
	}
	to, left := from, at.room.take(servicesRoom)
	defer at.room.back(&left)
	for to < min(from+pageServices, len(all)) && left.has(all[to].Name, all[to].Name, all[to].Name, all[to].Image, all[to].State, all[to].Error) {
		left -= 900
		to++
	}
	shown := services{Seen: s.Observed, Unseen: unseen, List: all[from:to], All: len(all), From: from + 1, To: to}
	if from > 0 {
		shown.Back = at.to("/", "from", strconv.Itoa(max(0, from-pageServices))) + "#services"
	}
	if to < len(all) {
		shown.On = at.to("/", "from", strconv.Itoa(to)) + "#services"
	}
	return shown
}
