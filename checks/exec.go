package checks

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Exec runs a command, which must exit with 0, in a running container of a service.
type Exec struct {
	Service        string
	Command        []string
	OutputContains string
}

func (c *Exec) kind() string { return "exec" }

func (c *Exec) target(r *run) string {
	return c.Service + ": " + r.mask(strings.Join(r.all(c.Command), " "))
}

func (c *Exec) try(ctx context.Context, r *run) error {
	if r.options.Execer == nil {
		return errors.New("no engine is available")
	}
	code, output, err := r.options.Execer.Exec(ctx, c.Service, r.all(c.Command))
	if err != nil {
		return err
	}
	said := ""
	switch text, secret := strings.TrimSpace(output), r.unknown(c.Service); {
	case text == "":
	case secret != "":
		said = " (not shown, because the value of the secret " + secret + " is unknown and cannot be masked)"
	default:
		lines := strings.Split(text, "\n")
		said = " (" + r.excerpt(lines[len(lines)-1]) + ")"
	}
	if code != 0 {
		return fmt.Errorf("got exit code %d%s, want 0", code, said)
	}
	if want := r.public(c.OutputContains); !strings.Contains(output, want) {
		return fmt.Errorf("got output without %q%s", want, said)
	}
	return nil
}

// unknown names a secret of a service that the service's output may have and that cannot be
// masked; "" for none.
func (r *run) unknown(service string) string {
	if r.options.Unknown == nil {
		return ""
	}
	return r.options.Unknown(service)
}
