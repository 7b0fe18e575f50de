// Package fleetsim has no code of its own: its tests run thousands of agents against one
// simulated GitLab, with a simulated clock, and count the requests and bytes of each. Real are the
// times of the looks, what is published, the outbox, the client of GitLab's API, the lists of merge
// requests and the look at tokens. Git's answers are measured once with the real client and a real
// server, and counted for each exchange; rendering and the engine are simulated.
package fleetsim
