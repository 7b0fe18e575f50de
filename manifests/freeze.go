package manifests

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the meaning of a config.yml must not depend on the machine

	"github.com/robfig/cron/v3"
)

// Freeze is one entry of `freeze`: a time in which rollouts do not start. It has
// either schedule and duration, or from and to.
type Freeze struct {
	Name     string        `yaml:"name" required:"true" example:"weekend" doc:"The freeze's name."`
	Schedule string        `yaml:"schedule" format:"cron" doc:"When a repeated freeze begins, as five cron fields: minute, hour, day of the month, month, day of the week."`
	Duration time.Duration `yaml:"duration" example:"62h" doc:"How long a repeated freeze lasts, in local time of time_zone: 62h from Friday 18:00 end on Monday 08:00, even if daylight saving time changes in between."`
	From     string        `yaml:"from" format:"time" doc:"When a single freeze begins."`
	To       string        `yaml:"to" format:"time" doc:"When a single freeze ends."`
	TimeZone string        `yaml:"time_zone" format:"zone" default:"UTC" doc:"The time zone of schedule. The end of the freeze is shown in it."`
	Nodes    []string      `yaml:"nodes" example:"[prod1, prod2]" doc:"The nodes that the freeze applies to. Default: all."`
}

// Frozen is an active freeze.
type Frozen struct {
	Name  string
	Until time.Time // in the freeze's time zone
}

// longestWindow is the maximum duration of a single freeze.
const longestWindow = 366 * 24 * time.Hour

// longestFreeze is the maximum duration of a repeated freeze.
const longestFreeze = 31 * 24 * time.Hour

// Frozen returns the freeze that is active for a node at a time. If several are
// active, it returns the one that ends last.
func (c *Config) Frozen(node string, at time.Time) (Frozen, bool) {
	return FrozenBy(c.Freeze, node, at)
}

// FrozenBy does the same as Frozen for freezes that are already validated.
func FrozenBy(freezes []Freeze, node string, at time.Time) (last Frozen, is bool) {
	for _, freeze := range freezes {
		if len(freeze.Nodes) > 0 && !slices.Contains(freeze.Nodes, node) {
			continue
		}
		if until, holds := freeze.holds(at); holds && until.After(last.Until) {
			last, is = Frozen{Name: freeze.Name, Until: until}, true
		}
	}
	return last, is
}

// holds reports whether a freeze is active at a time, and until when.
func (f *Freeze) holds(at time.Time) (until time.Time, holds bool) {
	zone, err := time.LoadLocation(f.TimeZone)
	if err != nil {
		return time.Time{}, false // validated
	}
	if f.Schedule == "" {
		from, to := f.window()
		return to.In(zone), !at.Before(from) && at.Before(to)
	}
	schedule, err := parseSchedule(f.Schedule)
	if err != nil {
		return time.Time{}, false
	}
	// The schedule is computed in local time as if it were UTC, which has no missing
	// or repeated hours. The extra day covers every change of daylight saving time.
	begin, reach := schedule.Next(onWall(at, zone).Add(-f.Duration-24*time.Hour)), at
	for range mostBeginnings {
		begin = lastBeginning(schedule, begin, onWall(reach, zone).Add(-mostChange))
		if begin.IsZero() {
			break
		}
		first, _ := offWall(begin, zone)
		if first.After(reach) {
			break
		}
		if _, end := offWall(begin.Add(f.Duration), zone); end.After(reach) {
			until, holds, reach = end, true, end
		}
		begin = schedule.Next(begin)
	}
	return until, holds
}

// lastBeginning gives the last beginning up to a time, by the minute, or the one that it starts from
// if that is later. Of the beginnings of one freeze the last one ends last, so the others need not be
// looked at: a freeze may begin each minute, and last a month.
func lastBeginning(schedule cron.Schedule, from, to time.Time) time.Time {
	for !from.IsZero() && to.Sub(from) >= time.Minute {
		middle := from.Add((to.Sub(from) / 2).Truncate(time.Minute))
		if next := schedule.Next(middle); !next.IsZero() && !next.After(to) {
			from = next
		} else {
			to = middle
		}
	}
	return from
}

// over reports whether a single freeze has ended.
func (f *Freeze) over(at time.Time) bool {
	_, to := f.window()
	return f.Schedule == "" && !to.After(at)
}

// covers reports whether a freeze holds a node whenever another one does.
func (f *Freeze) covers(other Freeze, node string) bool {
	if len(f.Nodes) > 0 && !slices.Contains(f.Nodes, node) || (f.Schedule == "") != (other.Schedule == "") {
		return false
	}
	if f.Schedule != "" {
		return f.Schedule == other.Schedule && f.TimeZone == other.TimeZone && f.Duration >= other.Duration
	}
	from, to := f.window()
	first, last := other.window()
	return !from.After(first) && !to.Before(last)
}

const (
	// mostBeginnings limits the search when freezes follow each other without a gap.
	mostBeginnings = 5_000
	// mostChange is more than the clocks of a zone are ever put forward or back.
	mostChange = 26 * time.Hour
	// mostFreezes bounds the list: each entry is computed at each look, also for a merge request.
	mostFreezes = 100
)

// parseSchedule reads five cron fields. It refuses the library's extensions.
func parseSchedule(text string) (cron.Schedule, error) {
	if strings.ContainsAny(text, "=@") {
		return nil, fmt.Errorf("read schedule %q: not five cron fields", text)
	}
	return cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
}

// onWall returns the local time of a zone as if it were UTC.
func onWall(at time.Time, zone *time.Location) time.Time {
	at = at.In(zone)
	return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
}

// offWall returns the first and the last time at which a zone has a local time. They
// differ in the hour that is repeated when daylight saving time ends.
func offWall(shown time.Time, zone *time.Location) (first, last time.Time) {
	at := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(), 0, zone)
	first, last = at, at
	for _, shift := range []time.Duration{30 * time.Minute, time.Hour} {
		if before := at.Add(-shift); onWall(before, zone).Equal(onWall(at, zone)) {
			first = before
		}
		if after := at.Add(shift); onWall(after, zone).Equal(onWall(at, zone)) {
			last = after
		}
	}
	return first, last
}

// isZone refuses Local, because a config.yml must mean the same on each machine.
func isZone(text string) bool {
	_, err := time.LoadLocation(text)
	return err == nil && text != "Local"
}

func isTime(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}

func (v *validator) validateFreezes() {
	if count := len(v.config.Freeze); count > mostFreezes {
		v.add("freeze", "remove those that are over", "freeze lists %d entries, and at most %d are read", count, mostFreezes)
		return
	}
	var names []string
	for i, freeze := range v.config.Freeze {
		key := fmt.Sprintf("freeze[%d]", i)
		names = append(names, freeze.Name)
		v.listsNodes(key+".nodes", freeze.Nodes)
		validateWindow(v, key, freeze)
	}
	v.unique("freeze[].name", names)
	v.validateGaps()
}

// validateWindow checks that a freeze has either schedule and duration, or from and to.
func validateWindow(v *validator, key string, freeze Freeze) {
	from, to := freeze.window()
	given := func(name string) bool { return v.config.set(key + "." + name) }
	const remedy = "write schedule and duration, or from and to"
	switch repeats, once := given("schedule") || given("duration"), given("from") || given("to"); {
	case repeats == once:
		v.add(key, remedy, "%s needs either schedule and duration, or from and to", key)
	case repeats && (!given("schedule") || !given("duration")), once && (!given("from") || !given("to")):
		v.add(key, remedy, "%s has only one of the two keys that set its begin and its end", key)
	case once && isTime(freeze.From) && isTime(freeze.To) && !to.After(from):
		v.add(key+".to", "write a later time", "%s ends before it begins", key)
	case once && to.Sub(from) > longestWindow:
		v.add(key+".to", "write an earlier time; auto_deploy: false stops rollouts for good", "%s lasts longer than 366 days", key)
	case repeats && freeze.Duration > longestFreeze:
		v.add(key+".duration", "write at most 744h, or from and to", "%s lasts longer than 31 days", key)
	case repeats && never(freeze.Schedule):
		v.add(key+".schedule", "write a day that exists", "%s never begins: the day does not exist", key)
	}
}

// window returns the begin and the end of a single freeze.
func (f *Freeze) window() (from, to time.Time) {
	from, _ = time.Parse(time.RFC3339, f.From) // validated
	to, _ = time.Parse(time.RFC3339, f.To)
	return from, to
}

// never reports whether a schedule has no date, such as the 30th of February. The
// result does not depend on the current date.
func never(text string) bool {
	schedule, err := parseSchedule(text)
	return err == nil && schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero()
}
