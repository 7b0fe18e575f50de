package page

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"coin.internal/coin-agent/agent/health"
	"coin.internal/coin-agent/agent/report"
	"coin.internal/coin-agent/deploy"
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
	stands                                 report.HeadlineState
}

// allServices gives a row for each service, and for what has drifted and is none.
func allServices(s *report.Status) []service {
	troubled, restored := map[string]health.Service{}, map[string]health.Service{}
	if s.Health != nil {
		for _, one := range s.Health.Services {
			troubled[one.Name] = one
		}
		for _, one := range s.Health.Restored {
			restored[one.Name] = one
		}
	}
	all := make([]service, 0, len(s.Services))
	for _, live := range s.Services {
		one := serviceOf(s, live)
		if bad, found := troubled[live.Name]; found {
			one.Restarts, one.Error, one.Since = bad.Restarts, say(bad.Error, midText), bad.Since
			if one.stands == report.AllWell {
				one.State = string(bad.State)
			}
			one.stands = report.Alarm
		}
		if back, found := restored[live.Name]; found {
			one.Restarts = back.Restarts
			if back.Since.After(one.Since) {
				one.Since = back.Since
			}
		}
		all = append(all, one)
	}
	for _, step := range report.Unlisted(s) {
		all = append(all, service{
			Name: say(strings.TrimPrefix(step.Name, s.Stack+"_"), shortText), State: say("drifted: "+report.DriftOf(s, step.Name), midText), stands: report.Attention,
		})
	}
	return all
}

// serviceOf gives the row of a live service by what the engine says of it.
func serviceOf(s *report.Status, live deploy.ServiceStatus) service {
	text, state := report.ServiceState(live, report.DriftOf(s, live.Name))
	return service{
		Name: say(strings.TrimPrefix(live.Name, s.Stack+"_"), shortText), Image: say(path.Base(live.Image), shortText), State: say(text, midText),
		Tasks: strconv.FormatUint(live.Running, 10) + "/" + strconv.FormatUint(live.Desired, 10), Since: live.Changed, stands: state,
	}
}

func servicesOf(s *report.Status, at frame, from int) services {
	all, unseen := allServices(s), s.Unknown != nil && !s.Unknown.Working
	for i := range all {
		if one := &all[i]; unseen {
			one.Tone, one.State = "quiet", "last seen "+one.State
		} else {
			one.Tone = tone(one.stands)
		}
	}
	slices.SortStableFunc(all, func(a, b service) int { return int(b.stands - a.stands) }) // alarms first
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
