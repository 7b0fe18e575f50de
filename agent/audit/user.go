package audit

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Self is the user of this process.
func Self() Actor { return User(os.Getuid(), os.Getpid()) }

// User names the user of a process, by the number where the name is unknown, marked as local. The login
// is the user who logged in first, where the kernel records that: behind sudo, the user
// is always root.
func User(uid, pid int) Actor {
	actor := Actor{By: ByUser, UID: strconv.Itoa(uid)}
	actor.Name = LocalName(userName(actor.UID))
	if text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/loginuid"); err == nil {
		actor.Login = LoginOf(string(text), actor.UID)
	}
	return actor
}

// noLogin is the kernel's value for a process without a login.
const noLogin = "4294967295"

// LoginOf names the user of a process' loginuid; "" when that is the user of uid, or
// when the process has no login.
func LoginOf(text, uid string) string {
	login := strings.TrimSpace(text)
	if login == noLogin || login == uid || login == "" {
		return ""
	}
	return userName(login)
}

func userName(uid string) string {
	if found, err := user.LookupId(uid); err == nil {
		return found.Username
	}
	return uid
}
