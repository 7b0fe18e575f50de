package swarmtest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// removeStale removes the directories of private engines whose owners were killed: no
// process locks them any more.
func removeStale() {
	dirs, err := filepath.Glob(prefix + "*")
	if err != nil {
		return
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		if unused, err := lock(filepath.Join(dir, "lock"), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			_ = removeDir(dir)
			_ = unused.Close()
		}
	}
}

// removeDir ends the processes that run from dir, unmounts what is mounted below it and
// removes it.
func removeDir(dir string) error {
	deadline := time.Now().Add(stopLimit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	asked := map[int]bool{} // once for each: an engine that gets three signals does not clean up
	for left := processesOf(dir); len(left) > 0; left = processesOf(dir) {
		for _, pid := range left {
			if time.Now().After(deadline) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			} else if !asked[pid] {
				asked[pid] = true
				_ = syscall.Kill(pid, syscall.SIGTERM)
			}
		}
		<-tick.C
	}
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, point := range mounts {
		_ = syscall.Unmount(point, syscall.MNT_DETACH)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove engine directory: %w", err)
	}
	return nil
}

// processesOf finds the engine and its containerd by the directory in their arguments. The
// shim of a container ends when containerd has stopped the container.
func processesOf(dir string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		content, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil {
			continue
		}
		arguments := strings.Split(string(content), "\x00")
		name := filepath.Base(arguments[0])
		if !strings.HasPrefix(name, "dockerd") && !strings.HasPrefix(name, "containerd") {
			continue
		}
		if slices.ContainsFunc(arguments, func(a string) bool { return strings.HasPrefix(a, dir+"/") }) {
			found = append(found, pid)
		}
	}
	return found
}

// mountsBelow lists the mount points in dir, the deepest first.
func mountsBelow(dir string) ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	defer func() { _ = file.Close() }()
	var points []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			points = append(points, fields[4])
		}
	}
	slices.SortFunc(points, func(a, b string) int { return len(b) - len(a) })
	return points, lines.Err()
}
