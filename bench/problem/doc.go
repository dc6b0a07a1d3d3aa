// Package problem measures the search for problems: against logs whose truth is
// known (truth_test.go), and on simulated pairs of a sender domain and a provider
// (simulate_test.go). README.md says how to run it and what came out.
package problem
