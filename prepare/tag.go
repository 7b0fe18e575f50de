package prepare

import (
	"path"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
	"coin.internal/coin-agent/manifests"
)

const day = len("2006-01-02")

var (
	tagForm     = lazyregexp.New(`^\d{4}-\d{2}-\d{2}-[0-9a-f]{10}$`)
	versionForm = lazyregexp.New(`^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$`)
	numberForm  = lazyregexp.New(`^[0-9]{1,18}$`)
)

// Check returns an error for a release that cannot be prepared.
func (r Release) Check() error {
	switch _, err := time.Parse("2006-01-02", dayOf(r.Tag)); {
	case !tagForm().MatchString(r.Tag), err != nil:
		return fault.New(fault.Place{}, "write its date and ten characters of the commit: 2025-12-15-11eeef9e99", "%q is not the tag of a release", r.Tag)
	case r.Version != "" && !versionForm().MatchString(r.Version):
		return fault.New(fault.Place{}, "write it as 25.22", "%q is not the version of a release", r.Version)
	case r.Task != "" && !versionForm().MatchString(r.Task):
		return fault.New(fault.Place{}, "write it as 41361", "%q is not the number of a task", r.Task)
	case r.Migration != "" && !numberForm().MatchString(r.Migration):
		return fault.New(fault.Place{}, "write the highest migration ID of the release, such as 565", "%q is not a migration ID", r.Migration)
	}
	return nil
}

// dayOf gives the date of a tag, or "" for another text.
func dayOf(tag string) string {
	if !tagForm().MatchString(tag) {
		return ""
	}
	return tag[:day]
}

// olderThan reports whether a tag is older than another one. Of two tags with the same date,
// none is.
func olderThan(tag, other string) bool { return dayOf(tag) != "" && dayOf(tag) < dayOf(other) }

// shown gives the release in a line.
func (p *Plan) shown() string {
	if p.Version == "" {
		return p.Tag
	}
	return p.Version + " (" + p.Tag + ")"
}

func join(parts ...string) string { return path.Join(parts...) }

func nodeFolder(environment, node string) string {
	return path.Join(path.Dir(manifests.ConfigFile(environment)), "nodes", node)
}

// keptFolder has the files of a release as its bundle has them, for the merge of the next one.
func keptFolder(tag string) string { return path.Join("releases", tag) }
