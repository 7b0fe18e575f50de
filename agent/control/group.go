package control

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/internal/fault"
)

// Socket is the control socket: root and the agent's user may use it, and the members of a group
// may ask. Only those of them who are operators may have the agent act.
type Socket struct {
	Path      string
	Group     string   // its name or number; "" for none
	Operators []string // names or numbers of users
}

// ErrGroup says that socket_group cannot work as the agent runs: another start does not help.
var ErrGroup = errors.New("socket_group")

// Check checks that the group, its way to the socket, and the operators exist, and that the
// operators are members of the group.
func (s Socket) Check() error {
	if s.Group == "" {
		return nil
	}
	gid, err := groupID(s.Group)
	if err != nil {
		return err
	}
	faults := []error{passable(filepath.Dir(s.Path), s.Group, gid)}
	for _, name := range s.Operators {
		faults = append(faults, member(name, s.Group, gid))
	}
	return errors.Join(faults...)
}

// groupID gives the number of a group.
func groupID(name string) (int, error) {
	if gid, err := strconv.Atoi(name); err == nil && gid >= 0 {
		return gid, nil
	}
	found, err := user.LookupGroup(name)
	if err != nil {
		return 0, fault.New(fault.Place{}, "create it with groupadd --system "+name+", or correct socket_group", "socket_group: this machine has no group %q", name)
	}
	return strconv.Atoi(found.Gid)
}

// member checks that an operator is a user in the group.
func member(name, group string, gid int) error {
	found, err := user.Lookup(name)
	if err != nil {
		found, err = user.LookupId(name)
	}
	if err != nil {
		return fault.New(fault.Place{}, "correct operators", "operators: this machine has no user %q", name)
	}
	if groups, err := found.GroupIds(); err == nil && !slices.Contains(groups, strconv.Itoa(gid)) && found.Uid != "0" {
		return fault.New(fault.Place{}, "usermod -aG "+group+" "+found.Username+", and have the user log in again", "operators: %s is not in the group %s, and cannot open the socket", name, group)
	}
	return nil
}

// passable checks that the members of a group can reach what is in a folder. A folder that does
// not exist yet is made so.
func passable(folder, group string, gid int) error {
	err := upwards(folder, func(at string, info os.FileInfo, _ bool) error {
		ofGroup := int(info.Sys().(*syscall.Stat_t).Gid) == gid
		if mode := info.Mode().Perm(); mode&0o001 == 0 && (!ofGroup || mode&0o010 == 0) {
			return fault.New(fault.Place{File: at}, "chmod o+x "+at+"; in a systemd unit: RuntimeDirectoryMode=0711",
				"socket_group: the group %s cannot reach the socket: its folder has mode %04o", group, mode)
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// admit gives a socket to its group.
func (s Socket) admit(path string) error {
	if s.Group == "" {
		return os.Chmod(path, 0o600)
	}
	gid, err := groupID(s.Group)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if int(info.Sys().(*syscall.Stat_t).Gid) != gid {
		if err := os.Chown(path, -1, gid); err != nil {
			return fault.WithHint(fmt.Errorf("%w: the agent does not run with the group %s, and may not give the socket to it: %w", ErrGroup, s.Group, err),
				"systemctl edit coin-agent, and write: [Service] Group="+s.Group)
		}
	}
	return os.Chmod(path, 0o660)
}

// Handler gives what the socket serves: operators may have the agent act, and a browser may only
// ask, also that of an operator. The body of a request is read before anything is done for it.
func (s Socket) Handler(handler http.Handler) http.Handler {
	return s.operate(NoOtherSites(bodyInTime(handler)))
}

// operate lets operators have the agent act.
func (s Socket) operate(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := CallerOf(r.Context())
		if caller.Scope == ScopeRead && caller.Actor.By == audit.ByUser && s.operates(caller.Actor) {
			caller.Scope = ScopeOperate
			r = r.WithContext(WithCaller(r.Context(), caller))
		}
		handler.ServeHTTP(w, r)
	})
}

// operates reports whether a user is an operator. The kernel has vouched for the number.
func (s Socket) operates(actor audit.Actor) bool {
	return slices.ContainsFunc(s.Operators, func(name string) bool {
		return name == actor.UID || audit.LocalName(name) == actor.Name
	})
}
