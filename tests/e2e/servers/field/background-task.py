# MUST: `beats` answers more than 0: the task that main() starts on its loop goes on while run_async() serves.
import asyncio

from fastmcp import FastMCP

heart = FastMCP("heart")
count = 0


async def beat() -> None:
    global count
    while True:
        count += 1
        await asyncio.sleep(0.05)


@heart.tool
def beats() -> int:
    return count


async def main() -> None:
    task = asyncio.create_task(beat())
    await heart.run_async(transport="http", host="127.0.0.1", port=9123)
    task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
