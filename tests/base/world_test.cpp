#include "base/world.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

namespace taskneuron {
namespace {

// The variables of launchers, as given and no others, while it lives.
class Launched {
 public:
  explicit Launched(const std::map<std::string, std::string>& variables) {
    for (const char* name : {"RANK",
                             "WORLD_SIZE",
                             "LOCAL_RANK",
                             "LOCAL_WORLD_SIZE",
                             "MASTER_ADDR",
                             "MASTER_PORT",
                             "OMPI_COMM_WORLD_RANK",
                             "OMPI_COMM_WORLD_SIZE",
                             "OMPI_COMM_WORLD_LOCAL_RANK",
                             "OMPI_COMM_WORLD_LOCAL_SIZE",
                             "SLURM_PROCID",
                             "SLURM_STEP_NUM_TASKS",
                             "SLURM_LOCALID",
                             "SLURM_STEP_TASKS_PER_NODE",
                             "SLURM_NODEID",
                             "SLURM_STEP_NODELIST",
                             "SLURM_NTASKS",
                             "TORCHELASTIC_USE_AGENT_STORE",
                             "TORCHELASTIC_RUN_ID",
                             "TORCHELASTIC_RESTART_COUNT",
                             "PMI_RANK",
                             "PMI_SIZE",
                             "MPI_LOCALRANKID",
                             "MPI_LOCALNRANKS",
                             "SLURM_JOB_ID",
                             "SLURM_STEP_ID",
                             "PMIX_NAMESPACE"}) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      ::unsetenv(name);
      names_.push_back(name);
    }
    for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Launched() {
    for (const std::string& name : names_) ::unsetenv(name.c_str());
    for (const auto& [name, value] : before_) ::setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::vector<std::string> names_;
  std::map<std::string, std::string> before_;
};

std::string refusal(const std::map<std::string, std::string>& variables) {
  const Launched launched(variables);
  try {
    world_place();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(WorldPlace, OneProcess) {
  const Launched launched({});
  EXPECT_EQ(world_place().size, 1);
  EXPECT_EQ(world_place().rank, 0);
}

TEST(WorldPlace, Torchrun) {
  const Launched launched({{"RANK", "5"},
                           {"WORLD_SIZE", "8"},
                           {"LOCAL_RANK", "1"},
                           {"LOCAL_WORLD_SIZE", "4"},
                           {"MASTER_ADDR", "node1"},
                           {"MASTER_PORT", "1234"},
                           {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                           {"TORCHELASTIC_RESTART_COUNT", "2"}});
  const WorldPlace place = world_place();
  EXPECT_EQ(place.rank, 5);
  EXPECT_EQ(place.size, 8);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.local_size, 4);
  EXPECT_EQ(place.host, "node1");
  EXPECT_EQ(place.port, 1235);  // torchrun itself listens at the one it names
  EXPECT_EQ(place.job, ".2....");
}

TEST(WorldPlace, OpenMpi) {
  const Launched launched({{"OMPI_COMM_WORLD_RANK", "1"},
                           {"OMPI_COMM_WORLD_SIZE", "2"},
                           {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                           {"OMPI_COMM_WORLD_LOCAL_SIZE", "1"},
                           {"MASTER_ADDR", "10.0.0.1"}});
  const WorldPlace place = world_place();
  EXPECT_EQ(place.rank, 1);
  EXPECT_EQ(place.size, 2);
  EXPECT_EQ(place.port, 29500);
}

// The rest is counted when the ranks meet.
TEST(WorldPlace, Mpich) {
  const Launched launched({{"PMI_RANK", "1"},
                           {"PMI_SIZE", "4"},
                           {"SLURM_PROCID", "0"},
                           {"SLURM_STEP_NUM_TASKS", "2"},
                           {"SLURM_JOB_ID", "77"},
                           {"MASTER_ADDR", "10.0.0.1"}});
  const WorldPlace place = world_place();
  EXPECT_EQ(place.rank, 1);
  EXPECT_EQ(place.size, 4);
  EXPECT_EQ(place.local_rank, -1);
  EXPECT_EQ(place.local_size, 0);
  EXPECT_EQ(place.job, "..77...");
}

TEST(WorldPlace, StepOfSlurm) {
  const std::map<std::string, std::string> step = {
      {"SLURM_PROCID", "6"},  {"SLURM_STEP_NUM_TASKS", "7"},
      {"SLURM_LOCALID", "0"}, {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"},
      {"SLURM_NODEID", "3"},  {"SLURM_STEP_NODELIST", "node[003-005,9],x"}};
  const Launched launched(step);
  EXPECT_EQ(world_place().rank, 6);
  EXPECT_EQ(world_place().local_size, 1);
  EXPECT_EQ(world_place().host, "node003");
  ::setenv("SLURM_NODEID", "2", 1);
  EXPECT_EQ(world_place().local_size, 2);
  ::setenv("SLURM_STEP_NODELIST", "n[01-02]-ib,x", 1);
  EXPECT_EQ(world_place().host, "n01-ib");
  ::setenv("SLURM_STEP_NODELIST", "alpha,beta[1-2]", 1);
  EXPECT_EQ(world_place().host, "alpha");
  ::setenv("MASTER_ADDR", "gamma", 1);
  EXPECT_EQ(world_place().host, "gamma");
}

TEST(WorldPlace, ScriptOfAJobIsOneProcess) {
  const Launched launched(
      {{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "64"}, {"SLURM_STEP_NUM_TASKS", "1"}});
  EXPECT_EQ(world_place().size, 1);
}

TEST(WorldPlace, RefusesWhatContradictsItself) {
  const std::string where = "MASTER_ADDR";
  EXPECT_NE(refusal({{"RANK", "x"}, {"WORLD_SIZE", "2"}}).find("RANK='x'"), std::string::npos);
  EXPECT_NE(refusal({{"RANK", "0"}, {"WORLD_SIZE", "0"}}).find("WORLD_SIZE='0'"),
            std::string::npos);
  EXPECT_NE(refusal({{"WORLD_SIZE", "2"}}).find("without RANK"), std::string::npos);
  EXPECT_NE(refusal({{"RANK", "2"}, {"WORLD_SIZE", "2"}}).find("no rank of"), std::string::npos);
  EXPECT_NE(refusal({{"RANK", "1"}, {"WORLD_SIZE", "2"}}).find(where), std::string::npos);
  const std::string port =
      refusal({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {where, "h"}, {"MASTER_PORT", "70000"}});
  EXPECT_NE(port.find("MASTER_PORT='70000'"), std::string::npos);
}

TEST(World, AloneDoesAll) {
  World& one = world();
  EXPECT_TRUE(one.alone());
  EXPECT_EQ(one.own_share(std::vector<int>{3, 1, 2}), (std::vector<int>{3, 1, 2}));
  EXPECT_EQ(one.gather("x"), std::vector<std::string>{"x"});
  EXPECT_EQ(one.output("here/file"), "here/file");
  EXPECT_TRUE(one.tells("why"));
  std::vector<double> values = {1, 2};
  one.sum(values);
  EXPECT_EQ(values, (std::vector<double>{1, 2}));
}

// A rank of a world that has nothing to talk with.
class Silent : public World {
 public:
  explicit Silent(const WorldPlace& place) : World(place) {}
};

TEST(World, SharesAreWholeAndEven) {
  std::vector<std::int64_t> pieces(23);
  for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i] = 100 - static_cast<std::int64_t>(i);
  std::vector<std::int64_t> seen, sums;
  for (std::int64_t rank = 0; rank < 4; ++rank) {
    WorldPlace place;
    place.rank = rank;
    place.size = 4;
    sums.push_back(0);
    for (const std::int64_t piece : Silent(place).own_share(pieces)) {
      seen.push_back(piece);
      sums.back() += piece;
    }
  }
  std::sort(seen.rbegin(), seen.rend());
  EXPECT_EQ(seen, pieces);
  EXPECT_LE(
      *std::max_element(sums.begin(), sums.end()) - *std::min_element(sums.begin(), sums.end()),
      100);
}

}  // namespace
}  // namespace taskneuron
