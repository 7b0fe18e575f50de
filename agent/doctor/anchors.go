package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/control"
	"coin.internal/coin-agent/internal/fault"
)

// checkAnchors checks whether the places that get the heads of the audit log can be
// reached. Nothing is sent. Rollouts do not need them: an error only needs a look.
func (d *doctor) checkAnchors(ctx context.Context) (string, error) {
	var good []string
	var faults []error
	check := func(name string, check func(context.Context) error) {
		if err := check(ctx); err != nil {
			faults = append(faults, doubt{err})
			return
		}
		good = append(good, "the heads go to "+name)
	}
	issue, err := d.on.Issue()
	if err != nil {
		return "", doubt{err}
	}
	if issue != nil {
		check(issue.String(), issue.Check)
	}
	if d.on.Settings.AuditSyslog != "" {
		syslog, err := anchor.ParseSyslog(d.on.Settings.AuditSyslog)
		if err != nil {
			return "", doubt{err}
		}
		check(syslog.String(), syslog.Check)
	}
	if len(good)+len(faults) == 0 {
		return "not set: the heads of the audit log stay on this node (audit_issue, audit_syslog)", nil
	}
	return strings.Join(good, "; "), errors.Join(append(faults, unanchored(ctx, d)...)...)
}

// unanchored asks the running agent for the heads that it could not anchor.
func unanchored(ctx context.Context, d *doctor) (faults []error) {
	status, err := control.NewClient(d.on.Settings.Socket).Status(ctx)
	if err != nil {
		return nil
	}
	for _, one := range status.Anchors {
		if one.Error != "" {
			faults = append(faults, doubt{fault.WithHint(fmt.Errorf("%s lacks %d entries of the audit log: %s", one.Place, one.Left, one.Error), one.Hint)})
		}
	}
	return faults
}
