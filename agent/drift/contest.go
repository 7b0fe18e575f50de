package drift

import (
	"slices"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

const (
	// Often is how often a field is put back within Window until it is contested.
	Often = 3
	// Window is the time within which these corrections count.
	Window = 10 * time.Minute
	// Retry is how long a contested field is left as it is before it is put back again.
	Retry = time.Hour
)

// Contest is a drifted field of a service that the agent put back, and that another process
// changed again each time. The agent leaves the service as it is.
type Contest struct {
	Service string    `json:"service"`      // full name
	Field   string    `json:"field"`        // its path in the spec; the action on a whole service
	To      string    `json:"to,omitempty"` // the value that was put back
	Times   int       `json:"times"`        // how often it was put back
	Again   time.Time `json:"again"`        // when it is put back again
}

// Fields gives the fields that a step of a drift differs in.
func Fields(step deploy.Step) []record.Correction {
	if step.Action != deploy.Update {
		return []record.Correction{{Service: step.Name, Field: string(step.Action)}}
	}
	fields := make([]record.Correction, 0, len(step.Changes))
	for _, change := range step.Changes {
		fields = append(fields, record.Correction{Service: step.Name, Field: change.Path, To: change.New})
	}
	return fields
}

// Contests gives the contests that go on, by field, also those whose field does not differ now.
// The syncs, the newest first, say when the agent put fields back. Any other sync that wrote
// ends a contest: it brought another value, or a user asked to try again.
func Contests(syncs []record.Sync, now time.Time) map[record.Correction]Contest {
	contests := map[record.Correction]Contest{}
	for field, times := range corrections(syncs, now) {
		last := times[len(times)-1]
		if count := contested(times); count > 0 && now.Sub(last) < 2*Retry {
			contests[field] = Contest{Service: field.Service, Field: field.Field, To: field.To, Times: count, Again: last.Add(Retry)}
		}
	}
	return contests
}

// Of gives those of the contests that are about fields of a drift, in its order.
func Of(contests map[record.Correction]Contest, drift []deploy.Step) (found []Contest) {
	for _, step := range drift {
		for _, field := range Fields(step) {
			if contest, goesOn := contests[field]; goesOn {
				found = append(found, contest)
			}
		}
	}
	return found
}

// Held gives the contests whose fields are left as they are at a time.
func Held(contests []Contest, now time.Time) []Contest {
	return slices.DeleteFunc(slices.Clone(contests), func(c Contest) bool { return !now.Before(c.Again) })
}

// corrections gives when each field was put back, the oldest time first.
func corrections(syncs []record.Sync, now time.Time) map[record.Correction][]time.Time {
	times, enough := map[record.Correction][]time.Time{}, Enough(now)
	for i := range syncs {
		if enough(&syncs[i]) {
			break
		}
		for _, field := range record.Corrected(&syncs[i]) {
			times[field] = append(times[field], syncs[i].Started)
		}
	}
	for _, at := range times {
		slices.Reverse(at)
	}
	return times
}

// Enough gives a function that is asked of one sync after the other, the newest first. It
// reports whether no contest needs this sync, nor an older one.
func Enough(now time.Time) func(*record.Sync) bool {
	return func(sync *record.Sync) bool {
		wrote := sync.Wrote || sync.Rollback != nil && sync.Rollback.Wrote
		if wrote && !sync.Unchanged && len(sync.Corrects) == 0 || now.Sub(sync.Started) >= 2*Retry {
			return true
		}
		if len(record.Corrected(sync)) > 0 {
			now = sync.Started
		}
		return false
	}
}

// contested gives how often a field was put back since it is contested, with the times that
// made it so; 0 if it is not. It stays contested while each attempt after Retry is undone.
func contested(times []time.Time) (count int) {
	for i, at := range times {
		switch {
		case count > 0 && at.Sub(times[i-1]) < 2*Retry:
			count++
		case i >= Often-1 && at.Sub(times[i-Often+1]) <= Window:
			count = Often
		default:
			count = 0
		}
	}
	return count
}

// Contested lists the services of contests, sorted.
func Contested(contests []Contest) []string {
	names := make([]string, 0, len(contests))
	for _, contest := range contests {
		names = append(names, contest.Service)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
