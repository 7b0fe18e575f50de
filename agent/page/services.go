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

func servicesOf(s *report.Status, at frame, from int) services {
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
	unseen := s.Unknown != nil && !s.Unknown.Working
	add := func(one service, state report.HeadlineState) {
		if one.Tone, one.stands = tone(state), state; unseen {
			one.Tone, one.State = "quiet", "last seen "+one.State
		}
		all = append(all, one)
	}
	for _, live := range s.Services {
		text, state := report.ServiceState(live, report.DriftOf(s, live.Name))
		one := service{
			Name: say(strings.TrimPrefix(live.Name, s.Stack+"_"), shortText), Image: say(path.Base(live.Image), shortText), State: say(text, midText),
			Tasks: strconv.FormatUint(live.Running, 10) + "/" + strconv.FormatUint(live.Desired, 10), Since: live.Changed,
		}
		if back, found := restored[live.Name]; found {
			one.Restarts = back.Restarts
			if back.Since.After(one.Since) {
				one.Since = back.Since
			}
		}
		if bad, found := troubled[live.Name]; found {
			one.Restarts, one.Error, one.Since = bad.Restarts, say(bad.Error, midText), bad.Since
			if state == report.AllWell {
				one.State = string(bad.State)
			}
			state = report.Alarm
		}
		add(one, state)
	}
	for _, step := range report.Unlisted(s) {
		add(service{Name: say(strings.TrimPrefix(step.Name, s.Stack+"_"), shortText), State: say("drifted: "+report.DriftOf(s, step.Name), midText)}, report.Attention)
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
